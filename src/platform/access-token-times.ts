/** What an access token's times depend on, in seconds. Nodes with different settings rely on each other's bounds. */

/** Bounds of the configured lifetime. */
export const ACCESS_TOKEN_TTL = { least: 10, most: 600 } as const

/** How far the clocks of an issuer and a verifier may differ. Each node's own is held to a third of it. */
export const CLOCK_TOLERANCE = 30

/**
 * How long after its issue some node may still accept a token: the longest lifetime that any node can have configured,
 * one tolerance beyond `exp`, and another for the difference of their clocks.
 */
export const LONGEST_ACCEPTANCE = ACCESS_TOKEN_TTL.most + 2 * CLOCK_TOLERANCE
