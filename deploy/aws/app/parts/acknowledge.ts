import { Aspects, CfnResource, Validations } from 'aws-cdk-lib'
import type { IConstruct } from 'constructs'

/** Why findings are accepted, by rule. */
export type Reasons = Record<string, string>

/** Says why findings of cdk-nag are accepted on a construct and below it. Keys are rules, with or without `[finding]`. */
export function acknowledge(construct: IConstruct, reasons: Reasons): void {
  Validations.of(construct).acknowledge(
    ...Object.entries(reasons).map(([id, reason]) => ({ id: `AwsSolutions-${id}`, reason })),
  )
}

/** The same for checkov, which reads it in the template; of all resources of these types. */
export function acknowledgeCheckov(construct: IConstruct, byType: Record<string, Reasons>): void {
  Aspects.of(construct).add({
    visit(node) {
      const reasons = CfnResource.isCfnResource(node) ? byType[node.cfnResourceType] : undefined
      if (!reasons || !CfnResource.isCfnResource(node)) return
      const added = Object.entries(reasons).map(([id, comment]) => ({ id, comment }))
      const { skip = [] } = node.getMetadata('checkov') ?? {}
      node.addMetadata('checkov', { skip: [...skip, ...added] })
    },
  })
}
