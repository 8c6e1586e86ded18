// The page's start: colours, token, address, then the clock and the events, then the first drawing.
import './language.ts'
import { render } from 'preact'
import 'uplot/dist/uPlot.min.css'
import './styles/tokens.css'
import './styles/base.css'
import './styles/controls.css'
import './styles/tables.css'
import './styles/drawings.css'
import './styles/notices.css'
import './styles/frame.css'
import './styles/overview.css'
import './styles/pictures.css'
import './styles/device.css'
import './styles/add-board.css'
import './styles/software.css'
import './styles/logs.css'
import './styles/models.css'
import './styles/money.css'
import './styles/narrow.css'
import { Page } from './page.tsx'
import { startTheme } from './parts/theme.tsx'
import { startRouter } from './router.ts'
import { startSession, takeToken } from './session.ts'

startTheme()
takeToken()
// A link with a new token may be opened in a tab that is already here.
addEventListener('hashchange', takeToken)
startRouter()
startSession()

const root = document.getElementById('app')
if (root) render(<Page />, root)
