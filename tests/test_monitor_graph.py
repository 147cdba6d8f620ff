from types import SimpleNamespace

from balrog_keras.generator import Generator
from balrog_keras.monitor_graph import networks_graph
from balrog_keras.networks import Critic


def test_layers_are_named_and_connected():
    generator = Generator(3, width=8, depth=2, name="generator")
    critic = Critic(width=8, depth=2, name="critic")
    generator.build(((None, 9), (None, 3)))
    critic.build(((None, 3), (None, 9)))
    gan = SimpleNamespace(generator=generator, critic=critic)
    nodes = networks_graph(gan).node
    names = {node.name for node in nodes}
    scopes = {name.rsplit("/", 1)[0] for name in names}
    for network in (*(f"generator/column_{j}" for j in range(3)), "critic"):
        assert {f"{network}/hidden_0", f"{network}/hidden_1", f"{network}/head"} <= scopes
    assert {"condition", "latent"} <= names
    assert not [name for name in names if name.startswith(("generator_1", "critic_1"))]
    inputs = {text.lstrip("^").split(":")[0] for node in nodes for text in node.input}
    assert inputs <= names
