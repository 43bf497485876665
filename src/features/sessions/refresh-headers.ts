import { Type } from 'typebox'

/** The headers of every call that a refresh token comes with. */
export const RefreshHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      description: 'Use the same key for every retry of one refresh',
    }),
  ),
})
