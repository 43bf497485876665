-- IF NOT EXISTS, so that an index of a large table can be created CONCURRENTLY before an update.

-- CreateIndex: accounts whose address may not be in its canonical spelling; the predicate is that of the statements
CREATE INDEX IF NOT EXISTS "users_unusual_address_idx" ON "users"("id") WHERE (("email" COLLATE "C") ~ '[^a-z0-9!#$%&*+/=?^_`{|}~.@-]|@.*[^a-z0-9.-]|^[^@]*$|^[.@]|\.[.@]|@\.|[.@-]$|[@.]-|-\.|[@.]xn--|[@.][^a-z][^.@]*$|[^.@]{64}|^[^@]{65}|^.{255}');

-- CreateIndex: the same for what the mail provider reported
CREATE INDEX IF NOT EXISTS "mail_suppressions_unusual_address_idx" ON "mail_suppressions"("address") WHERE (("address" COLLATE "C") ~ '[^a-z0-9!#$%&*+/=?^_`{|}~.@-]|@.*[^a-z0-9.-]|^[^@]*$|^[.@]|\.[.@]|@\.|[.@-]$|[@.]-|-\.|[@.]xn--|[@.][^a-z][^.@]*$|[^.@]{64}|^[^@]{65}|^.{255}');
