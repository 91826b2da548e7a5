//! Campaigns, approvals, budgets, operators, audit in SQLite
