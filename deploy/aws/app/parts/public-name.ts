import { aws_certificatemanager as acm, aws_route53 as route53 } from 'aws-cdk-lib'
import { Construct } from 'constructs'
import type { Settings } from '../settings.ts'

/** The domain of PUBLIC_URL: its certificate and, if the zone is in Route 53, its records. */
export class PublicName extends Construct {
  readonly certificate: acm.ICertificate
  private readonly zone: route53.IHostedZone | undefined
  private readonly domainName: string

  constructor(scope: Construct, id: string, settings: Settings) {
    super(scope, id)
    const { domainName, hostedZone, certificateArn } = settings
    this.domainName = domainName
    this.zone =
      hostedZone &&
      route53.HostedZone.fromHostedZoneAttributes(this, 'Zone', {
        hostedZoneId: hostedZone.id,
        zoneName: hostedZone.name,
      })
    this.certificate = certificateArn
      ? acm.Certificate.fromCertificateArn(this, 'Certificate', certificateArn)
      : new acm.Certificate(this, 'Certificate', {
          domainName,
          validation: acm.CertificateValidation.fromDns(this.zone),
        })
  }

  /** Makes the domain lead to an AWS resource; nothing, if DNS is not in Route 53. */
  leadTo(target: route53.RecordTarget): void {
    if (!this.zone) return
    new route53.ARecord(this, 'Address', { zone: this.zone, recordName: this.domainName, target })
  }

  /** The same for a name that is no alias target. */
  leadToName(name: string): void {
    if (!this.zone) return
    new route53.CnameRecord(this, 'Name', { zone: this.zone, recordName: this.domainName, domainName: name })
  }
}
