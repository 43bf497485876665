import { Validations } from 'aws-cdk-lib'
import type { IConstruct } from 'constructs'

/** Says why findings of cdk-nag are accepted on a construct and below it. Keys are rules, with or without `[finding]`. */
export function acknowledge(construct: IConstruct, reasons: Record<string, string>): void {
  Validations.of(construct).acknowledge(
    ...Object.entries(reasons).map(([id, reason]) => ({ id: `AwsSolutions-${id}`, reason })),
  )
}
