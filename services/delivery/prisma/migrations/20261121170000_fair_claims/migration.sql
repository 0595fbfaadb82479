-- A claim goes from tenant to tenant, and looks at what each has due; so does who resolves domains. Both jump through these, whatever the number
-- of pairs. Credit is not kept any more: what a tenant could not use while nobody else was there put the next one behind it.
CREATE INDEX "ready_claimable" ON "ready" ("tenant_id", "next_due_at") WHERE "destination" < '~' AND "next_due_at" < 'infinity';
CREATE INDEX "ready_unresolved" ON "ready" ("tenant_id", "next_due_at") WHERE "destination" >= '~' AND "next_due_at" < 'infinity';
ALTER TABLE "ready" DROP COLUMN "deficit";
