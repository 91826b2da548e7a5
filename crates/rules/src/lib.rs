//! The condition language: parse, type-check, explain, evaluate
