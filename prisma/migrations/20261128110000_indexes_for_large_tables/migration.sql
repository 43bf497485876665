-- IF NOT EXISTS, so that an index of a large table can be created CONCURRENTLY before an update.

-- CreateIndex: pages of accounts, newest first
CREATE INDEX IF NOT EXISTS "users_created_at_id_idx" ON "users"("created_at", "id");

-- CreateIndex: clean-up of the counts that reset; the lasting ones are kept and must not be read each time
CREATE INDEX IF NOT EXISTS "guess_counters_resetting_updated_at_idx" ON "guess_counters"("updated_at") WHERE "resets_at" IS NOT NULL;

-- CreateIndex: clean-up of lifted suppressions
CREATE INDEX IF NOT EXISTS "mail_suppressions_lifted_at_idx" ON "mail_suppressions"("at") WHERE "reason" = 'lifted';

-- CreateIndex: search for a part of an address or a name. Some servers lack the extension or forbid it: the search
-- then works without these indexes, and reads all accounts. Without fastupdate no registration has to write what others
-- have left pending.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX IF NOT EXISTS "users_email_trgm_idx" ON "users" USING GIN ("email" gin_trgm_ops) WITH (fastupdate = off);
    CREATE INDEX IF NOT EXISTS "users_name_trgm_idx" ON "users" USING GIN ("name" gin_trgm_ops) WITH (fastupdate = off);
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_file OR undefined_object THEN
    RAISE WARNING 'no trigram indexes: %', SQLERRM;
END $$;
