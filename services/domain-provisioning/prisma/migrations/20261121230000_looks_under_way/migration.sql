-- Whose domains are being looked at is counted before another of theirs is taken.
CREATE INDEX "domain_check_leased_until_idx" ON "domain"("check_leased_until");
