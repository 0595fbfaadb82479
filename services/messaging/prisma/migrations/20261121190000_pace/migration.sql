-- Until when a tenant has used up its pace; only where TENANT_PACE is set. Microseconds: at a high pace a recipient is less than a millisecond.
CREATE TABLE "pace" (
  "tenant_id" uuid NOT NULL,
  "used_until" timestamptz NOT NULL,
  CONSTRAINT "pace_pkey" PRIMARY KEY ("tenant_id")
) WITH (fillfactor = 50);
