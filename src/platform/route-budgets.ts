import type { Budget } from './budgets.ts'
import type { Reader } from './environment.ts'

const per = (points: number, seconds = 60): Budget => ({ points, seconds })

/** The budgets that routes name, with their defaults; `RATE_LIMIT_BUDGETS` changes them. */
const DEFAULTS = {
  /** Large, because these are cheap to answer. */
  public: per(600),
  register: per(60),
  resend_verification: per(20),
  verify_email: per(30),
  login: per(30),
  login_mfa: per(30),
  login_passkey: per(30),
  /** Right sign-ins of an account, whatever proved them: so many that only a machine gone wrong meets it. */
  sign_in: per(2_000, 3_600),
  passkey_challenge: per(300),
  unlock: per(30),
  keep_factors: per(30),
  refresh_refused: per(30),
  /** Refused authentications of clients, by address. */
  client_refused: per(60),
  /** Fetches of metadata documents of clients, from each origin and for each user. */
  client_document_origin: per(60),
  client_document_user: per(20),
  /** Clients that register themselves, by address. */
  register_client: per(20, 3_600),
  /** Answers to the question what a client may do. */
  consent: per(60),
  /** Codes of devices that are entered, by address. */
  device: per(60),
  /** Wrong codes of devices, of each account: what keeps eight letters from being guessed. */
  device_code: per(10, 600),
  /** Of each client. */
  token: per(600),
  introspect: per(6_000),
  logout: per(60),
  /** Of each session. */
  session: per(120),
  /** For every call that asks for the password again. */
  password_check: per(20),
  change_account: per(60),
  /** Apart from the above, so that nothing else keeps a person from signing out. */
  end_sessions: per(120),
  passkey: per(30),
  change_email: per(20),
  confirm_email_change: per(30),
  request_password_reset: per(20),
  reset_password: per(30),
  admin: per(120),
  /** Large, because the mail provider calls from few addresses; it retries refused calls. */
  webhooks: per(1_200),
} satisfies Record<string, Budget>

export type LimitName = keyof typeof DEFAULTS
export type RouteBudgets = Readonly<Record<LimitName, Budget>>

const ENTRY = /^(\w+)=(\d{1,7})\/(\d{1,5})$/
const MAX_SECONDS = 86_400

/** Reads a list such as `login=60/60,unlock=10/300`: points per seconds. What it does not name keeps its default. */
export function readBudgets(read: Reader): RouteBudgets {
  const changed: Partial<Record<LimitName, Budget>> = {}
  for (const entry of read.list('RATE_LIMIT_BUDGETS')) {
    const [, name = '', points, seconds] = ENTRY.exec(entry) ?? []
    const budget = per(Number(points), Number(seconds))
    const fits = budget.points >= 1 && budget.seconds >= 1 && budget.seconds <= MAX_SECONDS
    if (!Object.hasOwn(DEFAULTS, name) || !fits || Object.hasOwn(changed, name)) {
      const names = Object.keys(DEFAULTS).join(', ')
      read.fault(
        `RATE_LIMIT_BUDGETS must be a list of name=points/seconds, each name once, of: ${names}; 1 to ${MAX_SECONDS} seconds`,
      )
      break
    }
    changed[name as LimitName] = budget
  }
  return { ...DEFAULTS, ...changed }
}
