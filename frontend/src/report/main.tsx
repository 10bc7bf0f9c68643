/** Entry of the report page. */
import "../style/font.css";
import "../style/base.css";
import "../style/desk.css";
import "../style/panel.css";
import "../style/charts.css";
import "../style/narrow.css";
import "./report.css";
import { render } from "solid-js/web";
import { App } from "./app.view";

render(() => <App />, document.getElementById("app") as HTMLElement);
