import t from 'tap'
import { commonPasswords } from '../../../src/core/passwords/common-passwords.ts'

t.test(
  'the bundled list holds the most common passwords of eight or more characters, in lower case',
  async (t) => {
    for (const password of [
      '12345678',
      'password',
      'Password',
      'PASSWORD',
      'qwertyuiop',
      'passwordpassword',
    ]) {
      t.equal(await commonPasswords.has(password), true, password)
    }
    t.equal(await commonPasswords.has('monkey'), false, 'too short for any account, so it is not in the list')
    t.equal(await commonPasswords.has('correct horse battery'), false)
    t.equal(await commonPasswords.has(''), false)
  },
)
