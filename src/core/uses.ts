import type { Platform } from '../platform/platform.ts'
import type { Clients } from './clients/clients.ts'
import type { Dpop } from './dpop/dpop.ts'
import type { Events } from './events/events.ts'
import type { FactorResets } from './factor-resets/factor-resets.ts'
import type { Factors } from './factors/factors.ts'
import type { Grants } from './grants/grants.ts'
import type { Lockout } from './lockout/lockout.ts'
import type { Links, Mail } from './mail/mail.ts'
import type { OneTimeTokens, Tickets, UsedTokens } from './one-time/one-time.ts'
import type { Outbox } from './outbox/outbox.ts'
import type { PasswordPolicy, Passwords } from './passwords/passwords.ts'
import type { Registrations } from './registrations/registrations.ts'
import type { Sessions } from './sessions/sessions.ts'
import type { Devices, SignIn, StepUp } from './sign-in/sign-in.ts'
import type { AccessTokens, ClientTokens, IdTokens, KeyRing } from './tokens/tokens.ts'
import type { Users } from './users/users.ts'

/** Every service of the server, by its name. */
export interface Services extends Platform {
  clients: Clients
  dpop: Dpop
  users: Users
  events: Events
  outbox: Outbox
  mail: Mail
  links: Links
  registrations: Registrations
  sessions: Sessions
  accessTokens: AccessTokens
  clientTokens: ClientTokens
  idTokens: IdTokens
  keyRing: KeyRing
  oneTimeTokens: OneTimeTokens
  usedTokens: UsedTokens
  tickets: Tickets
  passwords: Passwords
  passwordPolicy: PasswordPolicy
  factors: Factors
  factorResets: FactorResets
  grants: Grants
  lockout: Lockout
  signIn: SignIn
  stepUp: StepUp
  devices: Devices
}

/** The services that a use case needs, as in `Uses<'users' | 'sessions'>`. Callers pass all services. */
export type Uses<Name extends keyof Services> = Pick<Services, Name>
