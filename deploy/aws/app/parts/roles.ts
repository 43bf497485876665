import { aws_ecr as ecr, aws_iam as iam } from 'aws-cdk-lib'
import type { Construct } from 'constructs'
import type { Settings } from '../settings.ts'
import { acknowledge } from './acknowledge.ts'

/**
 * A role that a service of AWS takes.
 *
 * @param policies policies of AWS that it has, and why each has to be
 */
export function serviceRole(
  scope: Construct,
  id: string,
  service: string,
  policies: Record<string, string> = {},
): iam.Role {
  const role = new iam.Role(scope, id, {
    assumedBy: new iam.ServicePrincipal(service),
    // The path lets the workflow pass these roles on and no others.
    path: '/ratchet/',
    managedPolicies: Object.keys(policies).map((name) => iam.ManagedPolicy.fromAwsManagedPolicyName(name)),
  })
  for (const [name, reason] of Object.entries(policies))
    acknowledge(role, { [`IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/${name}]`]: reason })
  return role
}

/** The images of the registry, which this role may pull. */
export function imagesFor(scope: Construct, settings: Settings, role: iam.Role): ecr.IRepository {
  const images = ecr.Repository.fromRepositoryName(scope, 'Images', settings.repositoryName)
  images.grantPull(role)
  mayReadRegistry(role)
  return images
}

/** Accepts what every role that pulls images needs. */
export const mayReadRegistry = (role: iam.IRole) =>
  acknowledge(role, { 'IAM5[Resource::*]': 'ecr:GetAuthorizationToken knows no resource.' })
