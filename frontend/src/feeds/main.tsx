/** Entry of the page of feeds. */
import "../style/font.css";
import "../style/base.css";
import "../style/desk.css";
import "./feeds.css";
import { render } from "solid-js/web";
import { App } from "./app.view";

render(() => <App />, document.getElementById("app") as HTMLElement);
