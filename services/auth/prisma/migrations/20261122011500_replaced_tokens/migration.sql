-- Those that were replaced go after a while.
CREATE INDEX "personal_access_token_revoked_at_idx" ON "personal_access_token"("revoked_at") WHERE "revoked_at" IS NOT NULL;
