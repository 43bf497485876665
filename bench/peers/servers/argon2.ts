import type { Algorithm, Options } from '@node-rs/argon2'

/** The parameters that Ratchet uses by default, for every server that hashes passwords. */
export const ARGON2: Options = {
  algorithm: 2 satisfies Algorithm.Argon2id,
  memoryCost: 19_456,
  timeCost: 2,
  parallelism: 1,
}
