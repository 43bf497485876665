-- AlterTable: false for a browser in which the link that unlocks the account was pressed, until it signs in
ALTER TABLE "known_devices" ADD COLUMN     "has_signed_in" BOOLEAN NOT NULL DEFAULT true;

-- CreateFunction: how many live sessions a user has, `most` at most. A volatile function sees what has been committed when
-- it is called; the statement around it sees what had been when that began, before it locked the user.
CREATE FUNCTION live_sessions(owner UUID, at TIMESTAMPTZ, most INTEGER) RETURNS INTEGER LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (SELECT count(*) FROM (
        SELECT FROM "sessions"
        WHERE "user_id" = owner AND "ended_at" IS NULL AND "idle_expires_at" > at AND "absolute_expires_at" > at
        LIMIT most
    ) AS live);
END $$;
