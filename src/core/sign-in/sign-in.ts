import type { Budget } from '../../platform/budgets.ts'
import type { UsesPlatform } from '../../platform/platform.ts'
import { createSignIn, type SignIn, type SignInDeps } from './complete.ts'
import { createDevices, type Devices } from './devices.ts'
import { createSignInLimit } from './sign-in-limit.ts'
import { createStepUp, type StepUp, type StepUpDeps } from './step-up.ts'

export { MFA_TICKET_TTL, type SecondStepRequired, type SignedIn, type SignIn } from './complete.ts'
export type { Devices, DeviceToken } from './devices.ts'
export { type KnownDevice, listDevices } from './list-devices.ts'
export type { ReadAccount } from './read-account.ts'
export type { StepUp, StepUpProof } from './step-up.ts'

export interface SignInOptions {
  /** Devices that an account knows. */
  maxDevices: number
  /** Right sign-ins of an account; null for no limit. */
  budget: Budget | null
}

/** Completing sign-ins for any kind of proof, and step-up. */
export function openSignIn(
  deps: UsesPlatform<'clock' | 'redis' | 'redisBreaker'> &
    Omit<SignInDeps, 'devices' | 'limitSignIns'> &
    StepUpDeps,
  { maxDevices, budget }: SignInOptions,
): {
  signIn: SignIn
  stepUp: StepUp
  devices: Devices
} {
  const devices = createDevices(deps.clock, maxDevices)
  const limitSignIns = createSignInLimit(deps, budget)
  return { signIn: createSignIn({ ...deps, devices, limitSignIns }), stepUp: createStepUp(deps), devices }
}
