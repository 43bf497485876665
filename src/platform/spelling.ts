/**
 * A canonical spelling for text that is compared without regard to case and surrounding spaces, such as an address.
 * NFC comes last: lower-case letters may compose where their capitals do not.
 */
export const oneSpelling = (text: string): string => text.trim().toLowerCase().normalize('NFC')
