-- The outbound queue and the built-in inbox. Written by hand: Prisma knows neither partitions nor storage settings.
-- Partitions themselves are made at start and daily, seven days ahead (src/jobs/keep-partitions.ts).

CREATE TABLE "ledger" (
  "message_id" uuid NOT NULL,
  "recipient_number" integer NOT NULL,
  "tenant_id" uuid NOT NULL,
  "cancelled" boolean NOT NULL DEFAULT false,
  CONSTRAINT "ledger_pkey" PRIMARY KEY ("message_id", "recipient_number")
) PARTITION BY RANGE ("message_id");

-- Every row is updated at each claim and soon deleted, so pages keep room and vacuum comes early and at full speed.
-- Destinations compare by bytes: two pods have to agree on the order in which they lock ready rows.
CREATE TABLE "due" (
  "message_id" uuid NOT NULL,
  "recipient_number" integer NOT NULL,
  "tenant_id" uuid NOT NULL,
  "address" text NOT NULL,
  "domain" text NOT NULL,
  "destination" text COLLATE "C" NOT NULL,
  "mail_from" text NOT NULL,
  "signing_domain" text NOT NULL,
  "captured" boolean NOT NULL,
  "size_bytes" bigint NOT NULL,
  "next_due_at" timestamptz(3) NOT NULL,
  "attempt" integer NOT NULL DEFAULT 0,
  -- Only ever goes up, while an attempt that was not made is not counted.
  "claims" integer NOT NULL DEFAULT 0,
  "incarnation" uuid,
  "claimed_at" timestamptz(3),
  "possible_duplicate" boolean NOT NULL DEFAULT false,
  "queued_at" timestamptz(3) NOT NULL,
  "traceparent" text,
  CONSTRAINT "due_pkey" PRIMARY KEY ("message_id", "recipient_number")
) WITH (
  fillfactor = 60,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_insert_scale_factor = 0,
  autovacuum_vacuum_insert_threshold = 10000,
  autovacuum_analyze_scale_factor = 0,
  autovacuum_analyze_threshold = 5000,
  autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX "due_unclaimed" ON "due" ("destination", "tenant_id", "next_due_at", "message_id", "recipient_number") WHERE "incarnation" IS NULL;
CREATE INDEX "due_claimed" ON "due" ("incarnation") WHERE "incarnation" IS NOT NULL;

-- No index on next_due_at: the table is small, is updated at every claim, and so its updates stay on their page.
CREATE TABLE "ready" (
  "destination" text COLLATE "C" NOT NULL,
  "tenant_id" uuid NOT NULL,
  "next_due_at" timestamptz(3) NOT NULL,
  "deficit" integer NOT NULL DEFAULT 0,
  "last_claimed_at" timestamptz(3) NOT NULL DEFAULT now(),
  CONSTRAINT "ready_pkey" PRIMARY KEY ("destination", "tenant_id")
) WITH (fillfactor = 40, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE "destination" (
  "name" text COLLATE "C" NOT NULL,
  "failures" integer NOT NULL DEFAULT 0,
  "back_off_until" timestamptz(3) NOT NULL,
  CONSTRAINT "destination_pkey" PRIMARY KEY ("name")
);

CREATE TABLE "route" (
  "domain" text NOT NULL,
  "destination" text COLLATE "C" NOT NULL,
  "expires_at" timestamptz(3) NOT NULL,
  CONSTRAINT "route_pkey" PRIMARY KEY ("domain")
);

CREATE TABLE "incarnation" (
  "id" uuid NOT NULL,
  "started_at" timestamptz(3) NOT NULL DEFAULT now(),
  "heartbeat_at" timestamptz(3) NOT NULL DEFAULT now(),
  CONSTRAINT "incarnation_pkey" PRIMARY KEY ("id")
) WITH (fillfactor = 50);

-- By the time of recording and not by message: a message scheduled for next month is attempted when its own day's partition would be gone.
CREATE TABLE "attempt" (
  "recorded_at" timestamptz(3) NOT NULL DEFAULT now(),
  "message_id" uuid NOT NULL,
  "recipient_number" integer NOT NULL,
  "tenant_id" uuid NOT NULL,
  "attempt" integer NOT NULL,
  "incarnation" uuid,
  "outcome" smallint NOT NULL,
  "started_at" timestamptz(3),
  "finished_at" timestamptz(3),
  "host" text NOT NULL,
  "reply_code" integer NOT NULL,
  "enhanced_code" text NOT NULL,
  "reply" text NOT NULL,
  "possible_duplicate" boolean NOT NULL,
  "late" boolean NOT NULL,
  CONSTRAINT "attempt_pkey" PRIMARY KEY ("recorded_at", "message_id", "recipient_number", "attempt", "outcome")
) PARTITION BY RANGE ("recorded_at");
CREATE INDEX "attempt_message" ON "attempt" ("message_id");

CREATE TABLE "captured_mail" (
  "id" uuid NOT NULL,
  "tenant_id" uuid NOT NULL,
  "message_id" uuid,
  "mail_from" text NOT NULL,
  "rcpt_to" text[] NOT NULL,
  "header_from" text NOT NULL,
  "header_to" text NOT NULL,
  "subject" text NOT NULL,
  "text" text NOT NULL,
  "html" text NOT NULL,
  "links" text[] NOT NULL,
  "codes" text[] NOT NULL,
  "size_bytes" integer NOT NULL,
  "dkim" text NOT NULL,
  "dkim_domain" text NOT NULL,
  "tls_version" text NOT NULL,
  "received_at" timestamptz(3) NOT NULL,
  "raw" bytea NOT NULL,
  CONSTRAINT "captured_mail_pkey" PRIMARY KEY ("id")
) PARTITION BY RANGE ("id");
-- Partitions inherit it. Mail is compressed by nobody here: PostgreSQL spent ten times the processor time on trying.
ALTER TABLE "captured_mail" ALTER COLUMN "raw" SET STORAGE EXTERNAL;
CREATE INDEX "captured_mail_tenant_id_id_idx" ON "captured_mail" ("tenant_id", "id" DESC);
