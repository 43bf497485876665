/** The texts of what clients lead people to and from. */
export const INTERACTION_TEXTS = {
  'interaction.continue': ['client'],
  'interaction.open_page': [],
  'interaction.expired_title': [],
  'interaction.expired_text': [],
  'interaction.foreign_title': [],
  'interaction.foreign_text': [],

  'end_session.title': [],
  'end_session.client': ['client'],
  'end_session.text': [],
  'end_session.button': [],
  'end_session.stay': [],
  'end_session.done_title': [],
  'end_session.done_text': [],
  'end_session.stayed_title': [],
  'end_session.stayed_text': [],
} as const
