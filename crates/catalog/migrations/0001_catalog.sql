-- TEXT and BIGINT only, so that the same statements run on SQLite and PostgreSQL. Times are microseconds in UTC,
-- hashes and salts hexadecimal digits, definitions and states JSON.

CREATE TABLE facts (
    name  TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);

CREATE TABLE users (
    id         BIGINT PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL UNIQUE,
    roles      TEXT NOT NULL,
    active     BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- Only a hash of a token is kept.
CREATE TABLE tokens (
    hash       TEXT PRIMARY KEY NOT NULL,
    user_id    BIGINT NOT NULL REFERENCES users (id),
    label      TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);
CREATE INDEX tokens_of_user ON tokens (user_id);

CREATE TABLE campaigns (
    id         BIGINT PRIMARY KEY NOT NULL,
    slug       TEXT NOT NULL UNIQUE,
    version    BIGINT NOT NULL,
    state_name TEXT NOT NULL,
    state      TEXT NOT NULL,
    salt       TEXT NOT NULL,
    created_by BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revision   BIGINT NOT NULL
);

CREATE TABLE campaign_versions (
    campaign_id  BIGINT NOT NULL REFERENCES campaigns (id),
    version      BIGINT NOT NULL,
    definition   TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    edited_by    BIGINT NOT NULL,
    edited_at    BIGINT NOT NULL,
    PRIMARY KEY (campaign_id, version)
);

-- One row a launched wave: the second launch of a wave cannot be written.
CREATE TABLE waves (
    campaign_id    BIGINT NOT NULL REFERENCES campaigns (id),
    wave           BIGINT NOT NULL,
    version        BIGINT NOT NULL,
    audience_hash  TEXT NOT NULL,
    condition_hash TEXT NOT NULL,
    members        BIGINT NOT NULL,
    snapshot       BIGINT NOT NULL,
    as_of          BIGINT NOT NULL,
    started_by     BIGINT NOT NULL,
    started_at     BIGINT NOT NULL,
    PRIMARY KEY (campaign_id, wave)
);

CREATE TABLE evaluations (
    campaign_id BIGINT NOT NULL REFERENCES campaigns (id),
    no          BIGINT NOT NULL,
    result      TEXT NOT NULL,
    made_by     BIGINT NOT NULL,
    made_at     BIGINT NOT NULL,
    PRIMARY KEY (campaign_id, no)
);

-- Numbers of offers and creative families: dense, never reused.
CREATE TABLE numbering (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    id   BIGINT NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE TABLE holdouts (
    period     TEXT PRIMARY KEY NOT NULL,
    salt       TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE settings (
    name  TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);

-- A cache of answers, not audited: its effects are.
CREATE TABLE idempotency (
    user_id      BIGINT NOT NULL,
    key          TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    status       BIGINT,
    response     TEXT,
    claimed_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    PRIMARY KEY (user_id, key)
);
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);

-- `entry` is canonical JSON and holds the hash of the entry before; `hash` is over `entry`.
CREATE TABLE audit (
    seq     BIGINT PRIMARY KEY NOT NULL,
    subject TEXT NOT NULL,
    entry   TEXT NOT NULL,
    hash    TEXT NOT NULL
);
CREATE INDEX audit_of_subject ON audit (subject, seq);
