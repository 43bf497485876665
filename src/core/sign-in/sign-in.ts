import type { UsesPlatform } from '../../platform/platform.ts'
import { createSignIn, type SignIn, type SignInDeps } from './complete.ts'
import { createDevices, type Devices } from './devices.ts'
import { createStepUp, type StepUp, type StepUpDeps } from './step-up.ts'

export { MFA_TICKET_TTL, type SecondStepRequired, type SignedIn, type SignIn } from './complete.ts'
export type { Devices, DeviceToken } from './devices.ts'
export { type KnownDevice, listDevices } from './list-devices.ts'
export type { ReadAccount } from './read-account.ts'
export type { StepUp, StepUpProof } from './step-up.ts'

/** Completing sign-ins for any kind of proof, and step-up. */
export function openSignIn(deps: UsesPlatform<'clock'> & Omit<SignInDeps, 'devices'> & StepUpDeps): {
  signIn: SignIn
  stepUp: StepUp
  devices: Devices
} {
  const devices = createDevices(deps.clock)
  return { signIn: createSignIn({ ...deps, devices }), stepUp: createStepUp(deps), devices }
}
