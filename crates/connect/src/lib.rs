//! Sources and channels; the one layout reader
