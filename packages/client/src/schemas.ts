import type { components } from './openapi.ts'

export type Schemas = components['schemas']
/** How a person shows again who they are: `password`, or a second factor. */
export type StepUp = Schemas['StepUp']
