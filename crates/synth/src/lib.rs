//! A seeded synthetic operator with a known response model
