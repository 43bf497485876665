/**
 * The one spelling of what is compared whatever its case and spaces around, such as an address.
 * NFC last: what capitals cannot compose, small letters may.
 */
export const oneSpelling = (text: string): string => text.trim().toLowerCase().normalize('NFC')
