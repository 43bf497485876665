import { fastifyCookie, type SerializeOptions } from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'

/**
 * A cookie that only this server reads. A browser can hold several of its name, such as a partitioned one and another,
 * and sends all of them in an order that says nothing.
 */
export interface ServerCookie {
  name: string
  /** Every value that the request has. */
  valuesIn(request: FastifyRequest): readonly string[]
  /** Sets it, after expiring every variant if the request has several. Times in milliseconds since the epoch. */
  set(reply: FastifyReply, value: string, expiresAt: number, now: number): void
  /** Expires every variant that this server can have set. */
  expire(reply: FastifyReply): void
}

/** The cookies of the refresh token, the device token, the registration token, and of what a page continues with. */
export interface SessionCookies {
  refresh: ServerCookie
  device: ServerCookie
  registration: ServerCookie
  /** Holds an interaction ticket until the person comes back from the mailbox. */
  continuation: ServerCookie
}

export interface CookieSettings {
  sameSite: 'lax' | 'strict' | 'none'
  /** Tells the cookies of several servers on one host apart. */
  suffix: string | undefined
}

export function sessionCookies(publicUrl: string, { sameSite, suffix }: CookieSettings): SessionCookies {
  const secure = publicUrl.startsWith('https://')
  const plain = { path: '/', httpOnly: true, secure, sameSite } as const
  // Browsers accept both only with Secure, and so only over https.
  const partitioned = secure ? ({ ...plain, sameSite: 'none', partitioned: true } as const) : undefined
  const configured = (sameSite === 'none' && partitioned) || plain

  function cookie(secureName: string, plainName: string): ServerCookie {
    // Over https the __Host- prefix keeps other hosts of the domain from setting it.
    const name = `${secure ? secureName : plainName}${suffix ? `.${suffix}` : ''}`
    const write = (reply: FastifyReply, value: string, options: SerializeOptions) =>
      reply.header('set-cookie', fastifyCookie.serialize(name, value, options))

    // Only these two: a sibling host may set a cookie whose name begins with another kind of space.
    const isOurs = (pair: string) => pair.replace(/^[ \t]+/, '').startsWith(`${name}=`)
    const decode = (pair: string) => fastifyCookie.parse(pair)[name] ?? ''
    const valuesIn = ({ headers }: FastifyRequest) =>
      (headers.cookie?.split(';') ?? []).filter(isOurs).map(decode)

    function expire(reply: FastifyReply): void {
      write(reply, '', { ...plain, maxAge: 0 })
      if (partitioned) write(reply, '', { ...partitioned, maxAge: 0 })
    }

    return {
      name,
      valuesIn,
      set(reply, value, expiresAt, now) {
        const sent = valuesIn(reply.request)
        // A browser that does not know partitions has one cookie, so it is set last.
        if (sent.length > 1) expire(reply)
        const variant = (sent.length > 0 && isEmbedded(reply.request) && partitioned) || configured
        write(reply, value, { ...variant, maxAge: Math.max(0, Math.floor((expiresAt - now) / 1000)) })
      },
      expire,
    }
  }
  return {
    refresh: cookie('__Host-ratchet', 'ratchet-dev'),
    device: cookie('__Host-ratchet-device', 'ratchet-device-dev'),
    registration: cookie('__Host-ratchet-registration', 'ratchet-registration-dev'),
    continuation: cookie('__Host-ratchet-continue', 'ratchet-continue-dev'),
  }
}

/**
 * Whether a page of another site asks, in a way in which browsers neither send nor take a Lax cookie: one that came was set
 * with SameSite=None, and stays so. With a link to this server they send Lax ones too, which must not become weaker.
 */
function isEmbedded({ headers }: FastifyRequest): boolean {
  const isLink = headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document'
  return headers['sec-fetch-site'] === 'cross-site' && !isLink
}
