-- CreateTable
CREATE TABLE "logout_notices" (
    "session_id" UUID NOT NULL,
    "client_id" TEXT NOT NULL,
    "user_id" UUID,
    "ended_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "logout_notices_pkey" PRIMARY KEY ("session_id")
);
