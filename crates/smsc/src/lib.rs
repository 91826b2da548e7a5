//! A simulated short-message centre with a population of handsets
