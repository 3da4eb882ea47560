-- Every row belongs to an issuer. Times are milliseconds since 1970, yes and
-- no are 1 and 0, sealed and hashed values are text: one SQL text that means
-- the same to SQLite and to PostgreSQL.

-- +goose Up
CREATE TABLE issuers (
    id            TEXT   NOT NULL PRIMARY KEY,
    url           TEXT   NOT NULL,
    sealed_secret TEXT   NOT NULL, -- 32 random bytes, sealed with the key-encryption key
    created_at    BIGINT NOT NULL
);

CREATE TABLE signing_keys (
    issuer         TEXT    NOT NULL REFERENCES issuers (id) ON DELETE CASCADE,
    id             TEXT    NOT NULL, -- RFC 7638 thumbprint
    algorithm      TEXT    NOT NULL,
    generation     INTEGER NOT NULL, -- counts the keys of one algorithm
    sealed_private TEXT    NOT NULL,
    created_at     BIGINT  NOT NULL,
    PRIMARY KEY (issuer, id),
    UNIQUE (issuer, algorithm, generation)
);

CREATE TABLE clients (
    issuer        TEXT    NOT NULL REFERENCES issuers (id) ON DELETE CASCADE,
    id            TEXT    NOT NULL,
    declared      INTEGER NOT NULL,
    specification TEXT    NOT NULL, -- clientregistry.Client as JSON
    created_at    BIGINT  NOT NULL,
    PRIMARY KEY (issuer, id)
);

CREATE TABLE users (
    issuer         TEXT    NOT NULL REFERENCES issuers (id) ON DELETE CASCADE,
    subject        TEXT    NOT NULL,
    username       TEXT    NOT NULL,
    username_key   TEXT    NOT NULL, -- in lower case
    email          TEXT    NOT NULL,
    email_key      TEXT    NOT NULL, -- in lower case
    email_verified INTEGER NOT NULL,
    name           TEXT    NOT NULL,
    password_hash  TEXT    NOT NULL, -- argon2id or bcrypt; empty: no password
    disabled       INTEGER NOT NULL,
    epoch          INTEGER NOT NULL, -- counts how often all logins of the user were ended
    declared       INTEGER NOT NULL,
    created_at     BIGINT  NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE UNIQUE INDEX users_by_username ON users (issuer, username_key);
CREATE UNIQUE INDEX users_by_email ON users (issuer, email_key) WHERE email_key <> '';

CREATE TABLE user_groups (
    issuer     TEXT    NOT NULL REFERENCES issuers (id) ON DELETE CASCADE,
    name       TEXT    NOT NULL,
    declared   INTEGER NOT NULL,
    created_at BIGINT  NOT NULL,
    PRIMARY KEY (issuer, name)
);

CREATE TABLE group_members (
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    group_name TEXT NOT NULL,
    PRIMARY KEY (issuer, subject, group_name),
    FOREIGN KEY (issuer, subject) REFERENCES users (issuer, subject) ON DELETE CASCADE,
    FOREIGN KEY (issuer, group_name) REFERENCES user_groups (issuer, name) ON DELETE CASCADE
);
CREATE INDEX group_members_by_group ON group_members (issuer, group_name);

CREATE TABLE sessions (
    issuer      TEXT   NOT NULL REFERENCES issuers (id) ON DELETE CASCADE,
    id          TEXT   NOT NULL, -- the sid claim
    secret_hash TEXT   NOT NULL, -- SHA-256 of the cookie's value
    subject     TEXT   NOT NULL,
    auth_time   BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    PRIMARY KEY (issuer, id)
);
CREATE UNIQUE INDEX sessions_by_secret ON sessions (issuer, secret_hash);
CREATE INDEX sessions_by_subject ON sessions (issuer, subject);
CREATE INDEX sessions_by_expiry ON sessions (issuer, expires_at);

CREATE TABLE grants (
    issuer          TEXT    NOT NULL REFERENCES issuers (id) ON DELETE CASCADE,
    id              TEXT    NOT NULL,
    client          TEXT    NOT NULL,
    subject         TEXT    NOT NULL,
    scopes          TEXT    NOT NULL,
    session         TEXT    NOT NULL,
    auth_time       BIGINT  NOT NULL,
    created_at      BIGINT  NOT NULL,
    expires_at      BIGINT  NOT NULL,
    ended_at        BIGINT  NOT NULL, -- 0 while it lives
    redirect_uri    TEXT    NOT NULL,
    code_challenge  TEXT    NOT NULL,
    nonce           TEXT    NOT NULL,
    code_hash       TEXT    NOT NULL, -- SHA-256
    code_expires_at BIGINT  NOT NULL,
    redeemed_at     BIGINT  NOT NULL, -- 0 until the code is exchanged
    generation      INTEGER NOT NULL, -- the number of the newest refresh token
    rotated_at      BIGINT  NOT NULL,
    PRIMARY KEY (issuer, id)
);
CREATE INDEX grants_by_subject ON grants (issuer, subject);
CREATE INDEX grants_by_client ON grants (issuer, client);
CREATE INDEX grants_by_expiry ON grants (issuer, expires_at);
CREATE INDEX grants_by_code_expiry ON grants (issuer, code_expires_at) WHERE redeemed_at = 0;

-- +goose Down
DROP TABLE grants;
DROP TABLE sessions;
DROP TABLE group_members;
DROP TABLE user_groups;
DROP TABLE users;
DROP TABLE clients;
DROP TABLE signing_keys;
DROP TABLE issuers;
