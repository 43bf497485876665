import { Redis } from 'ioredis'
import type { Adapter, AdapterPayload } from 'oidc-provider'

const CONSUMABLE = new Set(['AuthorizationCode', 'RefreshToken', 'DeviceCode'])
const GRANTABLE = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken', 'DeviceCode'])

const redis = new Redis(process.env.REDIS_URL as string)

/**
 * Keeps the state of oidc-provider in Redis as the example of its documentation does: one key for each token, with its
 * consumption in a field of the same hash, and a list of the tokens of each grant.
 */
export class RedisAdapter implements Adapter {
  readonly #model: string

  constructor(model: string) {
    this.#model = model
  }

  async upsert(id: string, payload: AdapterPayload, expiresIn: number): Promise<void> {
    const key = this.#key(id)
    const write = redis.multi()
    const text = JSON.stringify(payload)
    if (CONSUMABLE.has(this.#model)) write.hset(key, { payload: text })
    else write.set(key, text)
    if (expiresIn) write.expire(key, expiresIn)
    if (GRANTABLE.has(this.#model) && payload.grantId) {
      const list = `grant:${payload.grantId}`
      write.rpush(list, key)
      write.expire(list, expiresIn, 'NX').expire(list, expiresIn, 'GT')
    }
    if (payload.uid) write.set(`uid:${payload.uid}`, id, 'EX', expiresIn)
    if (payload.userCode) write.set(`user-code:${payload.userCode}`, id, 'EX', expiresIn)
    await write.exec()
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    if (!CONSUMABLE.has(this.#model)) {
      const text = await redis.get(this.#key(id))
      return text ? JSON.parse(text) : undefined
    }
    const { payload, consumed } = await redis.hgetall(this.#key(id))
    if (!payload) return undefined
    return { ...JSON.parse(payload), ...(consumed ? { consumed: Number(consumed) } : {}) }
  }

  async findByUid(uid: string): Promise<AdapterPayload | undefined> {
    const id = await redis.get(`uid:${uid}`)
    return id ? this.find(id) : undefined
  }

  async findByUserCode(userCode: string): Promise<AdapterPayload | undefined> {
    const id = await redis.get(`user-code:${userCode}`)
    return id ? this.find(id) : undefined
  }

  async consume(id: string): Promise<void> {
    await redis.hset(this.#key(id), 'consumed', Math.floor(Date.now() / 1000))
  }

  async destroy(id: string): Promise<void> {
    await redis.del(this.#key(id))
  }

  async revokeByGrantId(grantId: string): Promise<void> {
    const list = `grant:${grantId}`
    await redis.del(list, ...(await redis.lrange(list, 0, -1)))
  }

  #key(id: string): string {
    return `${this.#model}:${id}`
  }
}
