/** The algorithms that a client may sign with (RFC 7518 §3.1). `Ed25519` is the newer name of `EdDSA` (RFC 9864). */
export const CLIENT_ALGORITHMS = ['ES256', 'Ed25519', 'EdDSA', 'RS256', 'PS256', 'ES384', 'ES512']

/** Bits. */
export const SMALLEST_RSA_KEY = 2_048

const SECRET_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/** Whether a JWK has a member that is secret (RFC 7518 §6). */
export const isPrivateKey = (jwk: object): boolean => SECRET_MEMBERS.some((member) => member in jwk)
