//! HTTP API with OpenAPI
