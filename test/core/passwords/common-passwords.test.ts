import t from 'tap'
import { openCommonPasswords } from '../../../src/core/passwords/common-passwords.ts'

t.test(
  'the bundled list holds the most common passwords of eight or more characters, in lower case',
  async (t) => {
    const common = openCommonPasswords()
    for (const password of [
      '12345678',
      'password',
      'Password',
      'PASSWORD',
      'qwertyuiop',
      'passwordpassword',
    ]) {
      t.equal(await common.has(password), true, password)
    }
    t.equal(await common.has('monkey'), false, 'too short for any account, so it is not in the list')
    t.equal(await common.has('correct horse battery'), false)
    t.equal(await common.has(''), false)
  },
)
