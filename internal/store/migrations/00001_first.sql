-- Every row belongs to an issuer. Times are milliseconds since 1970, yes and
-- no are 1 and 0, sealed and hashed values are text: one SQL text that means
-- the same to SQLite and to PostgreSQL.

-- +goose Up
CREATE TABLE issuers (
    id            TEXT   NOT NULL PRIMARY KEY,
    url           TEXT   NOT NULL,
    sealed_secret TEXT   NOT NULL, -- 32 random bytes, sealed with the key-encryption key
    specification TEXT   NOT NULL, -- its settings as JSON; empty: the configuration file has them
    created_at    BIGINT NOT NULL
);

CREATE TABLE signing_keys (
    issuer         TEXT    NOT NULL REFERENCES issuers (id) ON DELETE CASCADE,
    id             TEXT    NOT NULL, -- RFC 7638 thumbprint
    algorithm      TEXT    NOT NULL,
    generation     INTEGER NOT NULL, -- counts the keys of one algorithm
    sealed_private TEXT    NOT NULL, -- sealed with the key-encryption key; empty once it is revoked
    published_at   BIGINT  NOT NULL,
    signs_from     BIGINT  NOT NULL, -- until a later generation does
    revoked_at     BIGINT  NOT NULL, -- 0 unless it is
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

-- Everybody who can log in or did, from whatever source. API servers know
-- people by these names, so no two have the same.
CREATE TABLE users (
    issuer         TEXT    NOT NULL REFERENCES issuers (id) ON DELETE CASCADE,
    subject        TEXT    NOT NULL,
    source         TEXT    NOT NULL, -- local, or its name in the configuration
    username       TEXT    NOT NULL,
    username_key   TEXT    NOT NULL, -- in lower case
    email          TEXT    NOT NULL,
    email_key      TEXT    NOT NULL, -- in lower case
    email_verified INTEGER NOT NULL,
    name           TEXT    NOT NULL,
    disabled       INTEGER NOT NULL,
    epoch          INTEGER NOT NULL, -- counts how often all logins of the user were ended
    declared       INTEGER NOT NULL,
    created_at     BIGINT  NOT NULL,

    -- Local accounts.
    password_hash       TEXT    NOT NULL, -- argon2id or bcrypt; empty: no password
    password_changed_at BIGINT  NOT NULL,
    password_expires_at BIGINT  NOT NULL, -- of a temporary one; 0: never
    must_change         INTEGER NOT NULL, -- the password, before it is good for anything else
    former_passwords    TEXT    NOT NULL, -- hashes, the newest first, separated by spaces
    failures            INTEGER NOT NULL, -- wrong passwords since the last right one
    locked_until        BIGINT  NOT NULL,

    -- What another source said last.
    source_groups   TEXT   NOT NULL, -- JSON
    attributes      TEXT   NOT NULL, -- JSON
    confirmed_at    BIGINT NOT NULL, -- when it said so; 0: it says so no more
    sealed_upstream TEXT   NOT NULL, -- with what it can be asked again
    asking_until    BIGINT NOT NULL, -- somebody is asking
    PRIMARY KEY (issuer, subject)
);
CREATE UNIQUE INDEX users_by_username ON users (issuer, username_key);
CREATE UNIQUE INDEX users_by_email ON users (issuer, email_key) WHERE email_key <> '';

CREATE TABLE second_factors (
    issuer        TEXT   NOT NULL,
    id            TEXT   NOT NULL,
    subject       TEXT   NOT NULL,
    kind          TEXT   NOT NULL, -- totp, passkey, recovery
    name          TEXT   NOT NULL, -- as its owner calls it
    sealed_secret TEXT   NOT NULL, -- what it takes to check it, JSON, sealed
    counter       BIGINT NOT NULL, -- of its last use, so that none is good twice
    created_at    BIGINT NOT NULL,
    used_at       BIGINT NOT NULL, -- 0: never
    PRIMARY KEY (issuer, id),
    FOREIGN KEY (issuer, subject) REFERENCES users (issuer, subject) ON DELETE CASCADE
);
CREATE INDEX second_factors_by_subject ON second_factors (issuer, subject);

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
    methods     TEXT   NOT NULL, -- how the end user proved who they are, RFC 8176
    device      TEXT   NOT NULL, -- in words, at the login
    address     TEXT   NOT NULL, -- at the login
    used_at     BIGINT NOT NULL, -- to the nearest minutes
    expires_at  BIGINT NOT NULL, -- unless it is used again
    ends_at     BIGINT NOT NULL, -- used or not
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
    claims          TEXT    NOT NULL, -- asked of userinfo by name
    session         TEXT    NOT NULL,
    auth_time       BIGINT  NOT NULL,
    methods         TEXT    NOT NULL, -- how the end user proved who they are, RFC 8176
    device          TEXT    NOT NULL, -- in words, at the login
    address         TEXT    NOT NULL, -- at the login
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
CREATE INDEX grants_by_session ON grants (issuer, session);
CREATE INDEX grants_by_expiry ON grants (issuer, expires_at);
CREATE INDEX grants_by_code_expiry ON grants (issuer, code_expires_at) WHERE redeemed_at = 0;

CREATE TABLE device_requests (
    issuer         TEXT   NOT NULL REFERENCES issuers (id) ON DELETE CASCADE,
    id             TEXT   NOT NULL,
    client         TEXT   NOT NULL,
    scopes         TEXT   NOT NULL,
    code_hash      TEXT   NOT NULL, -- SHA-256 of the device code
    user_code_hash TEXT   NOT NULL, -- MAC of the user code
    code_challenge TEXT   NOT NULL,
    device         TEXT   NOT NULL, -- what asked, in words
    address        TEXT   NOT NULL, -- where it asked from
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    decided_at     BIGINT NOT NULL, -- 0 while it waits
    grant_id       TEXT   NOT NULL, -- empty while it waits, and if it was refused
    PRIMARY KEY (issuer, id)
);
CREATE UNIQUE INDEX device_requests_by_code ON device_requests (issuer, code_hash);
CREATE UNIQUE INDEX device_requests_by_user_code ON device_requests (issuer, user_code_hash);
CREATE INDEX device_requests_by_client ON device_requests (issuer, client);
CREATE INDEX device_requests_by_expiry ON device_requests (issuer, expires_at);

CREATE TABLE spent_identifiers (
    issuer     TEXT   NOT NULL REFERENCES issuers (id) ON DELETE CASCADE,
    id         TEXT   NOT NULL, -- of a client's proof that was used, of an access token that was revoked
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, id)
);
CREATE INDEX spent_identifiers_by_expiry ON spent_identifiers (issuer, expires_at);

-- +goose Down
DROP TABLE spent_identifiers;
DROP TABLE device_requests;
DROP TABLE grants;
DROP TABLE sessions;
DROP TABLE group_members;
DROP TABLE user_groups;
DROP TABLE second_factors;
DROP TABLE users;
DROP TABLE clients;
DROP TABLE signing_keys;
DROP TABLE issuers;
