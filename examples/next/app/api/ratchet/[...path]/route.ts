import { createRouteHandler } from '@ratchet/client/next'
import { ratchet } from '../../../../lib/ratchet.ts'

export const { GET, POST, PATCH, DELETE } = createRouteHandler(ratchet)
