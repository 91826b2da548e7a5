//! Files to Parquet, tags, SQL
