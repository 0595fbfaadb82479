-- The change of signing keys, when domains are looked at by themselves, and what is still to be told to tenants' feeds.
-- Domains from before are due at once; the schedule spreads them from then on.
ALTER TABLE "domain" ADD COLUMN "rotation_from" TEXT,
ADD COLUMN "rotation_to" TEXT,
ADD COLUMN "rotation_requested_at" TIMESTAMPTZ(3),
ADD COLUMN "rotation_changed_at" TIMESTAMPTZ(3),
ADD COLUMN "next_check_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
ADD COLUMN "check_failures" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN "unchanged_looks" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN "check_leased_until" TIMESTAMPTZ(3);

ALTER TABLE "dkim_key" ADD COLUMN "former_public_key" TEXT;

CREATE TABLE "domain_event" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "type" TEXT NOT NULL,
    "data" JSONB NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "leased_until" TIMESTAMPTZ(3),

    CONSTRAINT "domain_event_pkey" PRIMARY KEY ("id")
);

CREATE INDEX "domain_next_check_at_idx" ON "domain"("next_check_at");
CREATE INDEX "domain_event_at_idx" ON "domain_event"("at");
