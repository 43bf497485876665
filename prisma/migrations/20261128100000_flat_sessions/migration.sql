-- IF NOT EXISTS, so that an index of a large table can be created CONCURRENTLY before an update.

-- CreateIndex: the revocation feed
CREATE INDEX IF NOT EXISTS "sessions_ended_idx" ON "sessions"("ended_at") WHERE "ended_at" IS NOT NULL;

-- CreateIndex: revocations that Redis has not received
CREATE INDEX IF NOT EXISTS "sessions_untombstoned_idx" ON "sessions"("ended_at") WHERE "ended_at" IS NOT NULL AND "tombstoned_at" IS NULL;

-- CreateIndex: families that were rotated without Redis
CREATE INDEX IF NOT EXISTS "sessions_rotated_on_ledger_idx" ON "sessions"("turned_to") WHERE "turned_to" IS NOT NULL;
