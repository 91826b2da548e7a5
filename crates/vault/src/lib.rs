//! Numbers, names and raw rows under a key per subscriber; suppression; erasure
