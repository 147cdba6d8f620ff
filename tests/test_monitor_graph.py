from types import SimpleNamespace

from balrog_keras.monitor_graph import networks_graph
from balrog_keras.networks import Critic, Generator


def test_layers_are_named_and_connected():
    generator = Generator(3, width=8, depth=2, name="generator")
    critic = Critic(width=8, depth=2, name="critic")
    generator.build(((None, 9), (None, 4)))
    critic.build(((None, 3), (None, 9)))
    gan = SimpleNamespace(generator=generator, critic=critic, latent_dim=4)
    nodes = networks_graph(gan, 9).node
    names = {node.name for node in nodes}
    scopes = {name.rsplit("/", 1)[0] for name in names}
    for network in ("generator", "critic"):
        assert {f"{network}/hidden_0", f"{network}/hidden_1", f"{network}/head"} <= scopes
    assert {"condition", "latent"} <= names
    assert not [name for name in names if name.startswith(("generator_1", "critic_1"))]
    inputs = {text.lstrip("^").split(":")[0] for node in nodes for text in node.input}
    assert inputs <= names
