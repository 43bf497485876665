import type { AppOptions } from '../app.ts'
import type { Config } from '../config.ts'
import { inboxRoutes } from './inbox/inbox.plugin.ts'
import { createOriginNotice } from './origin-notice.ts'
import { requireOwnHost } from './own-host.ts'

/** What the development server has beyond the others. */
export function developmentOptions(config: Config) {
  const requireOwn = requireOwnHost(config.publicUrl)
  const noticeOrigin = createOriginNotice(config)
  return {
    extraRoutes: inboxRoutes(config),
    localOrigins: true,
    checkRequest(request) {
      requireOwn(request)
      noticeOrigin(request)
    },
  } satisfies AppOptions
}
