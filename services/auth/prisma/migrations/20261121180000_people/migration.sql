-- People who log in, what they and the operator do, and how much of what is limited has been used.

ALTER TABLE "tenant" ADD COLUMN "suspended_at" TIMESTAMPTZ(3),
ADD COLUMN "suspension_reason" TEXT,
ADD COLUMN "messages_per_day" BIGINT,
ADD COLUMN "requests_per_minute" INTEGER,
ADD COLUMN "sends_per_minute" INTEGER;

ALTER TABLE "account_user" ADD COLUMN "password_hash" TEXT,
ADD COLUMN "last_login_at" TIMESTAMPTZ(3);

DROP INDEX "account_user_tenant_id_idx";
CREATE INDEX "account_user_tenant_id_id_idx" ON "account_user"("tenant_id", "id");

ALTER TABLE "api_key" ADD COLUMN "test" BOOLEAN NOT NULL DEFAULT false,
ADD COLUMN "daily_limit" INTEGER NOT NULL DEFAULT 0;

CREATE TABLE "session" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "last_used_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "address" TEXT NOT NULL,
    "user_agent" TEXT NOT NULL,

    CONSTRAINT "session_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "session_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "account_user"("id") ON DELETE CASCADE ON UPDATE RESTRICT
);

CREATE INDEX "session_user_id_id_idx" ON "session"("user_id", "id");
CREATE INDEX "session_expires_at_idx" ON "session"("expires_at");

CREATE TABLE "refresh_token" (
    "sha256" BYTEA NOT NULL,
    "session_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "used_at" TIMESTAMPTZ(3),

    CONSTRAINT "refresh_token_pkey" PRIMARY KEY ("sha256"),
    CONSTRAINT "refresh_token_session_id_fkey" FOREIGN KEY ("session_id") REFERENCES "session"("id") ON DELETE CASCADE ON UPDATE RESTRICT
);

CREATE INDEX "refresh_token_session_id_idx" ON "refresh_token"("session_id");

CREATE TABLE "token_key" (
    "kid" TEXT NOT NULL,
    "sealed_private" BYTEA NOT NULL,
    "n" TEXT NOT NULL,
    "e" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "retired_at" TIMESTAMPTZ(3),

    CONSTRAINT "token_key_pkey" PRIMARY KEY ("kid")
);

CREATE TABLE "one_time_link" (
    "sha256" BYTEA NOT NULL,
    "user_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "one_time_link_pkey" PRIMARY KEY ("sha256"),
    CONSTRAINT "one_time_link_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "account_user"("id") ON DELETE CASCADE ON UPDATE RESTRICT
);

CREATE INDEX "one_time_link_user_id_idx" ON "one_time_link"("user_id");
CREATE INDEX "one_time_link_expires_at_idx" ON "one_time_link"("expires_at");

CREATE TABLE "notice" (
    "id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "email_folded" TEXT NOT NULL,
    "public_url" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "due_at" TIMESTAMPTZ(3) NOT NULL,
    "tries" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "notice_pkey" PRIMARY KEY ("id")
);

CREATE INDEX "notice_due_at_idx" ON "notice"("due_at");

-- One small row per account or address under attack, changed in its page.
CREATE TABLE "login_failure" (
    "subject" BYTEA NOT NULL,
    "failures" INTEGER NOT NULL,
    "last_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "login_failure_pkey" PRIMARY KEY ("subject")
) WITH (fillfactor = 70);

CREATE INDEX "login_failure_last_at_idx" ON "login_failure"("last_at");

-- A busy tenant's row changes a few times a second: the room lets that happen inside the page.
CREATE TABLE "quota_ledger" (
    "ledger" SMALLINT NOT NULL,
    "subject" UUID NOT NULL,
    "window_start" TIMESTAMPTZ(0) NOT NULL,
    "taken" BIGINT NOT NULL,

    CONSTRAINT "quota_ledger_pkey" PRIMARY KEY ("subject", "ledger", "window_start")
) WITH (fillfactor = 50);

CREATE INDEX "quota_ledger_window_start_idx" ON "quota_ledger"("window_start");

CREATE TABLE "audit_entry" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "action" TEXT NOT NULL,
    "actor_id" TEXT NOT NULL,
    "subject_id" TEXT NOT NULL,
    "address" TEXT NOT NULL,
    "detail" TEXT NOT NULL,

    CONSTRAINT "audit_entry_pkey" PRIMARY KEY ("id")
) PARTITION BY RANGE ("id");

CREATE INDEX "audit_entry_tenant_id_id_idx" ON "audit_entry"("tenant_id", "id");
