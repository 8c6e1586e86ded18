// Asked for when the page has no token: where it stands, and a field to put it in.
import { Berry } from '../parts/icons.tsx'
import { logIn } from '../session.ts'
import { loginProblem } from '../state.ts'

export function LoginPage() {
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    const token = new FormData(event.currentTarget as HTMLFormElement).get('token')
    if (typeof token === 'string' && token.trim() !== '') logIn(token.trim())
  }
  return (
    <main class="login">
      <section class="card">
        <h1>
          <Berry />
          Bramble
        </h1>
        {loginProblem.value && (
          <p class="note tone-bad" role="alert">
            {loginProblem.value}
          </p>
        )}
        <p>This console asks for its token. It stands</p>
        <ul>
          <li>
            in the link that <code>npm start</code> prints: open it, it ends in <code>#token=…</code>
          </li>
          <li>
            in <code>ready.json</code> in the data folder, as <code>console.token</code>
          </li>
        </ul>
        <form class="form" onSubmit={submit}>
          <label class="field">
            <span>Token</span>
            <input name="token" type="password" autocomplete="off" required />
          </label>
          <button type="submit" class="button primary">
            Open the console
          </button>
        </form>
        <p class="muted">It stays in this tab and is forgotten when the tab closes.</p>
      </section>
    </main>
  )
}
