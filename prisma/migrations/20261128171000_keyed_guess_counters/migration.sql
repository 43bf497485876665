-- CreateIndex: counts of failed guesses whose account is a plain SHA-256, as the previous version writes it. They are
-- brought over, so the index is soon empty. IF NOT EXISTS, so that it can be created CONCURRENTLY before an update.
CREATE INDEX IF NOT EXISTS "guess_counters_unkeyed_idx" ON "guess_counters"("account") WHERE octet_length("account") = 32;
