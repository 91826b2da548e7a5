//! Eligibility, contact policy, arbitration, control groups: the pure step
